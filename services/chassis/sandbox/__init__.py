"""What keeps programs in that nobody vouches for: its terms and its port."""
