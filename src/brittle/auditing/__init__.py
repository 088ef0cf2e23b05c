"""The audit: does the protection of any file, made by any tool, act beyond noise of its size?"""

from brittle.auditing.document import Audit, PhotoAudit
from brittle.auditing.run import PROMPTS, TRANSFORMS, Audited, Request, audit, audit_alone

__all__ = [
    "PROMPTS",
    "TRANSFORMS",
    "Audit",
    "Audited",
    "PhotoAudit",
    "Request",
    "audit",
    "audit_alone",
]
