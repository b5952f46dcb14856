"""`python -m rag_adapt`: the same as the command `rag-adapt`."""

from rag_adapt.cli.app import main

if __name__ == "__main__":
    main()
