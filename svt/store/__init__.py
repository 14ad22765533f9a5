"""Write stores and results, resume long stages, check stores and export them."""
