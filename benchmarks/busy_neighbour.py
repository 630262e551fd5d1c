"""What a busy neighbour costs a training step, with Riffle's number of threads and with one on every core.

Each configuration runs in a process of its own, in turn, A B A B; neighbours are processes that only spin. Writes CSV.

    python benchmarks/busy_neighbour.py --rounds 5 > benchmarks/busy_neighbour.csv
"""

import argparse
import csv
import statistics
import subprocess
import sys
import time

from riffle.hardware import compute_threads, cores, environment

SPIN = "while True: pass"


def step_milliseconds(threads: int, steps: int, size: int, batch: int) -> float:
    """Median time of one training step of ShuffleNet V2 x0.5."""
    import torch
    import torch.nn.functional as F

    import riffle

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = riffle.create("shufflenet_v2_x0_5", num_classes=10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))
    times = []
    for _ in range(steps + 3):
        start = time.perf_counter()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[3:])


def main() -> None:
    """Run all configurations in turn and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--one", type=int, help="measure this number of threads in this process (used by the script)")
    options = parser.parse_args()
    if options.one:
        print(step_milliseconds(options.one, options.steps, options.size, options.batch))
        return
    configurations = [
        (threads, busy) for busy in range(cores() + 1) for threads in sorted({compute_threads(), cores()})
    ]
    measured: dict[tuple[int, int], list[float]] = {configuration: [] for configuration in configurations}
    for _ in range(options.rounds):
        for threads, busy in configurations:
            neighbours = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(busy)]
            try:
                settings = ["--steps", str(options.steps), "--size", str(options.size), "--batch", str(options.batch)]
                command = [sys.executable, __file__, "--one", str(threads), *settings]
                measured[threads, busy].append(float(subprocess.check_output(command, text=True)))
            finally:
                for neighbour in neighbours:
                    neighbour.kill()
                    neighbour.wait()
    facts = environment()
    columns = ["threads", "neighbours", "size", "batch", "median_ms", "least_ms", "most_ms", "ratio_to_quiet", *facts]
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for (threads, busy), times in measured.items():
        median = statistics.median(times)
        ratio = median / statistics.median(measured[threads, 0])
        row = [threads, busy, options.size, options.batch, median, min(times), max(times), ratio]
        writer.writerow([round(value, 2) if isinstance(value, float) else value for value in row] + [*facts.values()])


if __name__ == "__main__":
    main()
