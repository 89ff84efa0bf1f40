"""A search API and those who use it: what a way of calling Milvus does to a service's other users.

`api` is the service, which runs in a process of its own. `served` starts it and is what the runner
works with, `client` speaks to it, `load` are its users; `neighbour`, in a process of its own, is
beside them. `lib.results.service` says what a run of it showed.
"""
