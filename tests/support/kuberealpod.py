"""A pod as large as real ones, field by field as the API server of Kubernetes 1.30 gives a Deployment's pod.

It has what admission and the control plane add to every pod: the projected volume of the service account, default
tolerations, conditions, and the record of who wrote which field, which makes up half of it.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.kubeobjects import STARTED_AT, make_pod

_TOKEN_VOLUME = "kube-api-access-x2kzq"


def make_real_pod(number: int) -> dict[str, Any]:
    """Make the pod of a web service with a proxy beside it."""
    app, namespace = f"shop-{number % 400}", f"team-{number % 40}"
    pod = make_pod(
        f"{app}-6f7d9c5b8-{number:05d}", namespace=namespace, node=f"node-{number % 100}", uid=f"{number:032x}",
        images={"main": f"registry.example/{app}:1.{number % 7}", "proxy": "registry.example/envoy:v1.30"},
        labels={"app.kubernetes.io/name": app, "app.kubernetes.io/instance": app, "pod-template-hash": "6f7d9c5b8"},
        owner=("ReplicaSet", f"{app}-6f7d9c5b8"), image_id="registry.example/app@sha256:" + "ab" * 32,
    )  # fmt: skip
    pod["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = True
    pod["metadata"] |= {
        "generateName": f"{app}-6f7d9c5b8-",
        "resourceVersion": str(number + 1),
        "creationTimestamp": STARTED_AT,
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "checksum/config": "c0ffee" * 10},
    }
    for container in pod["spec"]["containers"]:
        container |= _container_rest()
    pod["spec"] |= _spec_rest(app)
    for status in pod["status"]["containerStatuses"]:
        status |= {"containerID": "containerd://" + "cd" * 32, "lastState": {}, "started": True}
    pod["status"] |= {
        "hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.1"}], "podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}],
        "qosClass": "Burstable", "startTime": STARTED_AT,
        "conditions": [
            {"lastProbeTime": None, "lastTransitionTime": STARTED_AT, "status": "True", "type": kind}
            for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
    }  # fmt: skip
    pod["metadata"]["managedFields"] = [
        _record("kube-controller-manager", {"f:metadata": _written(pod["metadata"]), "f:spec": _written(pod["spec"])}),
        _record("kubelet", {"f:status": _written(pod["status"])}) | {"subresource": "status"},
    ]
    return {"kind": "Pod", "apiVersion": "v1", **pod}


def _container_rest() -> dict[str, Any]:
    def probe(path: str) -> dict[str, Any]:
        return {
            "failureThreshold": 3, "httpGet": {"path": path, "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10,
            "successThreshold": 1, "timeoutSeconds": 1,
        }  # fmt: skip

    return {
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"key": "password", "name": "database"}}},
            *({"name": f"SETTING_{key}", "value": f"value-of-{key}"} for key in range(4)),
        ],
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"mountPath": "/etc/app", "name": "config", "readOnly": True},
            {"mountPath": "/var/cache/app", "name": "cache"},
            {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": _TOKEN_VOLUME, "readOnly": True},
        ],
    }  # fmt: skip


def _spec_rest(app: str) -> dict[str, Any]:
    field = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}
    return {
        "dnsPolicy": "ClusterFirst", "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0, "restartPolicy": "Always", "schedulerName": "default-scheduler", "serviceAccount": app,
        "serviceAccountName": app, "terminationGracePeriodSeconds": 30,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [
            {"effect": "NoExecute", "key": f"node.kubernetes.io/{key}", "operator": "Exists", "tolerationSeconds": 300}
            for key in ("not-ready", "unreachable")
        ],
        "volumes": [
            {"name": "config", "configMap": {"defaultMode": 420, "name": app}},
            {"name": "cache", "emptyDir": {}},
            {
                "name": _TOKEN_VOLUME,
                "projected": {
                    "defaultMode": 420,
                    "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
                        {"downwardAPI": {"items": [field]}},
                    ],
                },
            },
        ],
    }  # fmt: skip


def _record(manager: str, written: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": written, "manager": manager, "operation": "Update",
        "time": STARTED_AT,
    }  # fmt: skip


def _written(value: Any) -> dict[str, Any]:
    """Say which fields were written, as FieldsV1 does: fields by ``f:``, items of lists by ``k:`` and their key."""
    if isinstance(value, dict):
        return {f"f:{key}": _written(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        key = next(name for name in ("name", "type", "uid", "ip", "key", "mountPath", *value[0]) if name in value[0])
        return {f"k:{json.dumps({key: item.get(key)})}": {".": {}, **_written(item)} for item in value}
    return {}
