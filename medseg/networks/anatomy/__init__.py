"""What a network is made of: its layers, their cost, and what of the image each of them sees."""
