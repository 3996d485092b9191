"""Around any model: a whole data set through it, in crops, at several scales, by several networks."""
