"""`make bench`, or `python -m bench --only NAME`: the tables of docs/measurements.md."""

from engine.openmp import limit_spinning


def main() -> None:
    """Print the tables, with OpenMP's threads as the engine has them."""
    limit_spinning()

    from bench.tables import print_tables

    print_tables()


if __name__ == "__main__":
    main()
