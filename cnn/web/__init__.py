"""What a visitor sees: a file a tab, and `parts` for what the tabs share."""
