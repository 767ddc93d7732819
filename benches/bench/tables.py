"""Tables, on a terminal and between the markers of a Markdown file."""

import re
import statistics
import sys


class Table:
    def __init__(self, name, head):
        self.name, self.head, self.rows = name, head, []

    def row(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def show(self):
        lines = [self.head, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        for line in lines:
            cells = [cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(zip(line, widths))]
            print("  ".join(cells).rstrip())
        print(flush=True)

    def markdown(self):
        lines = [self.head, ["---", *["---:"] * (len(self.head) - 1)], *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Goals(Table):
    """What is wanted beside what was found."""

    def __init__(self):
        super().__init__("goals", ["what", "goal", "found"])

    def add(self, what, goal, found):
        self.row(what, goal, found)


def number(value, digits=2):
    return f"{value:,.{digits}f}"


def spread(values, digits=2):
    """Median, and between which all others are."""
    median, low, high = statistics.median(values), min(values), max(values)
    return f"{number(median, digits)} ({number(low, digits)} .. {number(high, digits)})"


def write(path, name, text):
    """Puts a text between the markers of that name."""
    document = path.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    document, count = pattern.subn(lambda found: f"{found[1]}{text}\n{found[2]}", document)
    if count != 1:
        sys.exit(f"error: {path} has {count} places between `<!-- {name} -->` and `<!-- end of {name} -->`; 1 is needed")
    path.write_text(document)
