"""Workers: the one room that starts processes of ours, and watches what others started.

`work` runs a function in a worker with limits, `following` does so for a job, `service` keeps an
object in one that answers calls, `supervised` starts such a one again, `watchdog` notices that a
service died. `host` is the program that forks workers and the way to it, `worker` what happens
inside one, `lite_server` what runs in that of Milvus Lite. It imports the small modules only: what
a worker runs is named by its module, which the host imports.
"""
