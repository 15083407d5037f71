"""The program, where its folder is not on the PATH: python -m int4_conformer transcribe FILE."""

from int4_conformer.cli.main import main

if __name__ == "__main__":
    main()
