"""One file a data set; `dataset.py` is what each gives."""
