"""What a trial leaves behind, and how it is read again: files, typed."""
