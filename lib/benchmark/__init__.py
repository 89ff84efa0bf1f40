"""The benchmark: a plan, the strategies, a runner, statistics, a file, and a terminal command."""
