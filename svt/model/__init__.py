"""What is known of a checkpoint without torch: where its files are, what memory it needs."""
