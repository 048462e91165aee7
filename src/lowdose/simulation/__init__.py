"""Clean images to learn from and to show: drawn by formulas, with numpy alone."""
