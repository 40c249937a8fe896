# pyright: basic, reportMissingImports=false
"""Run by the Python of the environment for AWS, which has boto3: performs calls, one JSON list after another.

Standard input: a list of [service, method, arguments] a line; standard output: the list of their answers.
"""

import json
import sys

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def sign(what):
    """The signature that AWS's own client gives to a request which has its date."""
    request = AWSRequest(method="POST", url=what["url"], data=what["body"].encode(), headers=what["headers"])
    request.context["timestamp"] = what["headers"]["X-Amz-Date"]
    signer = SigV4Auth(Credentials(what["access"], what["secret"]), what["scope"], what["region"])
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


def main():
    endpoint = sys.argv[1]
    clients = {}
    for line in sys.stdin:
        answers = []
        for service, method, arguments in json.loads(line):
            if service == "sign":
                answers.append(sign(arguments))
                continue
            if service not in clients:
                clients[service] = boto3.client(service, endpoint_url=endpoint, region_name="eu-west-1")
            answer = getattr(clients[service], method)(**arguments)
            answer.pop("ResponseMetadata", None)
            answers.append(answer)
        sys.stdout.write(json.dumps(answers, default=str) + "\n")
        sys.stdout.flush()


main()
