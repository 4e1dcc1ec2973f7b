"""As steps.py, for the clients that live without boto3."""
import json


def say(step, **seen):
    print(json.dumps({"step": step, **seen}), flush=True)
