"""The workbench: notebooks run from the command line, their results, and the report made of them."""
