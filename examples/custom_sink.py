"""A sink of one's own: posts each announcement of the watcher to a webhook, such as a chat's.

Any package offers it to podlab by an entry point, here in its pyproject.toml; then `podlab watch --sinks log,webhook`
and the setting watch_sinks take it as one of podlab's own:

    [project.entry-points."podlab.sinks"]
    webhook = "custom_sink:WebhookSink"
"""

import os

import urllib3

from podlab.errors import PodlabError


class WebhookSink:
    name = "webhook"
    repeatable = False  # a message that is sent twice is read twice

    def __init__(self, context):  # a podlab.watcher.sinks.SinkContext: settings, output, API server
        self.url = os.environ["WEBHOOK_URL"]

    def send(self, announcement):
        body = {"text": announcement.message, **announcement.to_json()}
        try:
            answer = urllib3.request("POST", self.url, json=body, timeout=10, retries=False)
        except urllib3.exceptions.HTTPError as error:
            raise PodlabError(f"cannot be reached: {error}", where="the webhook") from error
        if answer.status >= 400:
            raise PodlabError(f"answers {answer.status}", where="the webhook")  # it is tried again later
        return True
