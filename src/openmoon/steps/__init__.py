"""The steps of a run, one file per CLI verb: each reads files of the recipe's folders and writes files to its workdir."""
