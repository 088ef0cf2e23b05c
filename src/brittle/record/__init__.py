"""What a trial leaves behind, and how it is read again: typed, once, and passed along."""
