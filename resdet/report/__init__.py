"""What a person looks at: pictures and videos of what was found, pages of them, and curves."""
