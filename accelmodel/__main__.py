"""``python -m accelmodel``: the command line."""

from accelmodel.cli import main

if __name__ == "__main__":
    main()
