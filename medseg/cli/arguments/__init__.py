"""What each verb takes; nothing here imports what a verb does."""
