"""Workers: the one room that starts processes of ours.

`work` runs a function in a worker with limits, `service` keeps an object in one that answers calls.
`host` is the program that forks workers and the way to it, `worker` what happens inside one. It
imports the small modules only: what a worker runs is named by its module, which the host imports.
"""
