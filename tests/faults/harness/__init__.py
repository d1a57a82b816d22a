"""The fault harness: the real thing under a fixed load, killed and frozen by a seeded schedule, then counted.

`python -m tests.faults.harness --help` says how to run it; docs/reliability.md what came of it.

One process sends the load, is the mail server and the webhook receivers that count, and does the killing. It knows
the product only from outside: what it sent and what was answered, what arrived, and, at the end, the rows of events
and incidents. What had to arrive it works out itself, from the answers and from the policies that it made.
"""
