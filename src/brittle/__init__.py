"""brittle: does the protection of a photo against diffusion editing survive the world?"""
