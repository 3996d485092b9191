"""From predictions and ground truth to numbers: errors in percent, each with its 95 % interval."""
