"""``python -m astrogalaxy``."""

from astrogalaxy.cli import main

if __name__ == "__main__":
    main()
