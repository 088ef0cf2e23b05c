"""Where subjects come from: photos, collections, pairs of files, and edits made elsewhere."""
