"""The Python side of Vivarium: hosts the interpreter that runs a web application. Standard library only, Python 3.8+."""
