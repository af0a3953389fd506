"""`lmbits nightly --slurm` on a real SLURM: two nodes on this machine, one drained, a worker killed amid its work.

Needs root and Debian's slurm-wlm and munge; is skipped without them.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import harness

N_QUESTIONS = 20


def free_ports(n):
    with contextlib.ExitStack() as open_ones:
        probes = [open_ones.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def controller_configuration(folder, host):
    """Two nodes of one processor on loopback."""
    controller, node1, node2 = free_ports(3)
    return f"""ClusterName=lmbitstest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmctldPort={controller}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node1} CPUs=1 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={node2} CPUs=1 RealMemory=2000
PartitionName=p Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


class Slurm(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        absent = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(name, path="/usr/sbin:/usr/bin")]
        if absent or os.geteuid() != 0:
            self.skipTest(f"no {', '.join(absent) or 'root'}: apt-get install slurm-wlm munge, and run as root")
        self.cluster = self.folder / "cluster"
        for name in ("state", "n1", "n2"):
            (self.cluster / name).mkdir(parents=True)
        host = subprocess.run(["hostname", "-s"], capture_output=True, text=True, check=True).stdout.strip()
        configuration = self.cluster / "slurm.conf"
        configuration.write_text(controller_configuration(self.cluster, host))
        self.environment = {**os.environ, "SLURM_CONF": str(configuration)}
        if subprocess.run(["munge", "-n"], capture_output=True).returncode != 0:
            pathlib.Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge")
            subprocess.run(["su", "munge", "-s", "/bin/sh", "-c", "/usr/sbin/munged"], check=True)
            self.eventually(lambda: subprocess.run(["munge", "-n"], capture_output=True).returncode == 0, "munge", 20)
            pid = pathlib.Path("/run/munge/munged.pid")
            self.addCleanup(lambda: os.kill(int(pid.read_text()), signal.SIGTERM))
        self.addCleanup(self.stop)
        for daemon in (["slurmctld"], ["slurmd", "-N", "n1"], ["slurmd", "-N", "n2"]):
            subprocess.run([*daemon, "-f", str(configuration)], check=True, env=self.environment)
        self.eventually(lambda: self.slurm("sinfo", "-h", "-N", "-o", "%T").split() == ["idle", "idle"], "idle nodes", 60)

    def stop(self):
        self.slurm("scancel", "--user=root", "--signal=KILL", "--full")
        self.slurm("scancel", "--user=root")
        self.eventually(lambda: self.slurm("squeue", "-h") == "", "an empty queue", 10)
        pids = [self.cluster / f"{name}.pid" for name in ("n1", "n2", "slurmctld")]
        for pid in pids:
            if pid.exists():
                os.kill(int(pid.read_text()), signal.SIGTERM)
        self.eventually(lambda: not any(pid.exists() for pid in pids), "the daemons' end", 10)

    def slurm(self, *command):
        return subprocess.run(command, capture_output=True, text=True, env=self.environment).stdout

    def eventually(self, condition, what, patience_s=harness.PATIENCE_S):
        deadline = time.monotonic() + patience_s
        while not condition():
            logs = "".join(p.read_text()[-2000:] for p in self.folder.rglob("*.log"))
            self.assertLess(time.monotonic(), deadline, f"no sign of {what}\n{logs}")
            time.sleep(0.05)

    def night(self, *flags):
        return harness.run(["nightly", self.folder / "night.json", *flags], env=self.environment)

    def test_an_array_a_drained_node_a_killed_worker(self):
        (self.folder / "checkpoints").mkdir()
        for name in ("xs-byte-1000", "xs-byte-3000", "s-byte-1500"):
            source = harness.SOURCE / "models/demo" / f"{name}.pt"
            if source.exists():
                shutil.copy(source, self.folder / "checkpoints")
        models = sorted(p.stem for p in (self.folder / "checkpoints").iterdir())
        self.assertGreaterEqual(len(models), 2)
        text = (harness.SOURCE / "models/heldout/prose.txt").read_bytes()
        (self.folder / "prose.txt").write_bytes(text[:120000])
        questions = (harness.SOURCE / "models/benchmarks/cloze-prose.jsonl").read_text().splitlines(keepends=True)
        (self.folder / "questions.jsonl").write_text("".join(questions[:N_QUESTIONS]))
        out = self.folder / "it's %j out"  # what a shell and sbatch could take for theirs
        (self.folder / "night.json").write_text(json.dumps({
            "watch": ["checkpoints/*.pt"], "settle_s": 0, "name": "stem", "output": out.name, "threads": 1,
            "tasks": ["questions.jsonl"],
            "corpora": [{"name": "prose", "path": "prose.txt", "split": "512"}],
            "slurm": {"workers": 2, "options": ["--overcommit", "--nodes=1"]}}))
        submitted = self.night("--slurm")
        self.assertEqual(submitted.code, 0, submitted.err)
        self.assertIn(f"{len(models)} new checkpoints", submitted.out)
        self.assertIn("still in the queue", self.night("--slurm").out)  # not twice
        judge = json.loads((out / "slurm.json").read_text())["judge"]
        self.slurm("scontrol", "hold", judge)

        lines = lambda: sum(p.read_bytes().count(b"\n") for p in out.glob("runs/*/**/documents.jsonl"))
        parts = lambda: list(out.glob("runs/*/part-1-*/documents.jsonl"))
        self.eventually(lambda: parts() and lines() > 20, "records")
        self.slurm("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=test")
        victim = int(parts()[0].parent.name.rsplit("-", 1)[1])
        os.kill(victim, signal.SIGKILL)
        self.eventually(lambda: self.slurm("squeue", "-h", "-n", "lmbits-score") == "", "the array's end")
        for model in models:  # the array asked the questions, too
            [answers] = out.glob(f"tasks/{model}/answers/*.jsonl")
            self.assertEqual(answers.read_bytes().count(b"\n"), 1 + N_QUESTIONS)
        self.assertEqual(len(list(out.glob("slurm/*/*.log"))), len(models))  # beside the scripts
        self.slurm("scontrol", "release", judge)
        self.eventually(lambda: (out / "latest.json").exists(), "the judging job")
        self.eventually(lambda: self.slurm("squeue", "-h") == "", "an empty queue")
        self.assertIn("drained", self.slurm("sinfo", "-h", "-N", "-n", "n2", "-o", "%T"))
        judged = [json.loads(line)["model"] for line in (out / "judgements.jsonl").read_text().splitlines()[1:]]
        self.assertEqual(sorted(judged), models)
        for model in models:
            alone = self.finish(self.folder / "checkpoints" / f"{model}.pt", self.folder / "prose.txt",
                                self.folder / f"alone-{model}", "--split", "512")
            [run] = out.glob(f"runs/{model}__prose__*")
            together = {r["id"]: r["bits"] for r in harness.records_of(run)}
            self.assertEqual(together, {r["id"]: r["bits"] for r in harness.records_of(alone)})
        self.assertIn("0 new checkpoints", self.night("--slurm").out)


if __name__ == "__main__":
    harness.main()
