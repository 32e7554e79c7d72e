"""Small projects for bundlers, frameworks and module systems; each imports the package."""
