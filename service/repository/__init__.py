"""The bundles: found on disk, loaded, and only then served."""
