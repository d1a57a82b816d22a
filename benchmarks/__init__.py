"""What `make bench` runs: the front door against PostgreSQL doing the same job alone, in alternating rounds of one run.

The load comes as black-box HTTP and the figures are compared with SQL; of the product's code only its engines are used.
"""
