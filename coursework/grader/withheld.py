raise ImportError(f"{__name__} is what this assignment asks you to write: it is not here")
