"""Serve OpenAI's API on this machine until Ctrl-C: see `lib/benchmark/endpoint.py`.

python -m scripts.openai_endpoint --port 8123 --latency 0.45
"""

import argparse
import threading

from lib.benchmark.endpoint import OpenAIEndpoint


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument(
        "--first-token", type=float, default=0.0, metavar="SECONDS", help="a chat's"
    )
    parser.add_argument(
        "--answer", type=float, default=0.0, metavar="SECONDS", help="its last token"
    )
    parser.add_argument("--most-in-flight", type=int, help="more requests at once get 429")
    parser.add_argument("--most-per-s", type=float, help="more requests a second get 429")
    parser.add_argument("--failure", choices=["401", "429", "500", "garbage", "hang"])
    arguments = parser.parse_args()
    with OpenAIEndpoint(
        port=arguments.port,
        latency_s=arguments.latency,
        first_token_s=arguments.first_token,
        answer_s=arguments.answer,
        failure=arguments.failure,
        most_in_flight=arguments.most_in_flight,
        most_per_s=arguments.most_per_s,
    ) as endpoint:
        print(f"OPENAI_BASE_URL={endpoint.base_url} (any key). Ctrl-C stops it.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
