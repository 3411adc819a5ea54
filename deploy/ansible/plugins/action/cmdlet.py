# The HsmRemote authors. MIT licence.
"""A cmdlet of HsmRemote as a task: see plugins/modules/cmdlet.py for what it takes and gives.

It runs over the connection itself, without a module of Ansible's in between: no Python is needed on the host, one
program is started there, and what it is given, a PIN included, goes to its standard input and into no argument, file or log.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import json
import shlex

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.action import ActionBase

ENGINE = "/usr/local/bin/hsmremote"

# What stands in the command line, and the same for every task. The first line is the script, the second one the PIN.
LOADER = (
    "$lines = @($input); "
    "if (-not $lines) { throw 'There was no script on standard input.' } "
    "$decode = { [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($args[0])) }; "
    "$pin = [securestring]::new(); "
    "if ($lines.Count -gt 1) { foreach ($character in (& $decode $lines[1]).ToCharArray()) { $pin.AppendChar($character) } }; "
    ". ([scriptblock]::Create((& $decode $lines[0])))"
)

# An error ends it, and is data like the rest: its message has the cause and the remedy. One that a parameter ErrorAction lets
# pass becomes a warning.
SCRIPT = """
$ErrorActionPreference = 'Stop'
$WhatIfPreference = %(check)s
$parameters = %(parameters)s
if (%(has_pin)s) { $parameters['Pin'] = $pin }
$problems = @()
$output = @(
    try {
        %(name)s @parameters -ErrorVariable problems
        foreach ($problem in $problems) { [ordered] @{ Problem = $problem.Exception.Message } }
    }
    catch { [ordered] @{ Failure = $_.Exception.Message; ErrorId = $_.FullyQualifiedErrorId } }
)
"""

# hsmremote has -OutputFormat Json; of pwsh's ConvertTo-Json a URI would be an object.
PWSH_OUTPUT = """
$plain = foreach ($item in $output) {
    if ($item -is [Collections.IDictionary]) { $item; continue }
    $object = [ordered] @{}
    foreach ($property in $item.PSObject.Properties) {
        $object[$property.Name] = if ($property.Value -is [HsmRemote.Pkcs11Uri]) { "$($property.Value)" }
            elseif ($property.Value -is [Collections.Generic.IEnumerable[HsmRemote.Pkcs11Uri]]) { , @(foreach ($uri in $property.Value) { "$uri" }) }
            # As it is: a list with one item, too, which the if would take out of it.
            else { , $property.Value }
    }
    $object
}
ConvertTo-Json -InputObject @($plain) -Depth 6 -EnumsAsStrings -Compress
"""


def literal(value):
    """A value as PowerShell would have it written."""
    if value is None:
        return "$null"
    if isinstance(value, bool):
        return "$true" if value else "$false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "@{ " + "; ".join("%s = %s" % (literal(str(key)), literal(item)) for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "@(" + ", ".join(literal(item) for item in value) + ")"
    # PowerShell takes every one of these for the end of the text.
    text = to_text(value)
    for quote in u"'\u2018\u2019\u201a\u201b":
        text = text.replace(quote, quote * 2)
    return u"'%s'" % text


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("name", "parameters", "pin", "engine"))

    def run(self, tmp=None, task_vars=None):
        result = super(ActionModule, self).run(tmp, task_vars)
        del tmp
        name, parameters, pin, engine = self._arguments()

        script = SCRIPT % {
            "name": name,
            "check": literal(bool(self._task.check_mode)),
            "parameters": literal(parameters),
            "has_pin": literal(pin is not None),
        }
        is_pwsh = engine.rsplit("/", 1)[-1].startswith("pwsh")
        options = ["-NoProfile", "-NonInteractive"]
        if is_pwsh:
            script += PWSH_OUTPUT
        else:
            script += "$output"
            options += ["-OutputFormat", "Json"]
        command = " ".join(shlex.quote(word) for word in [engine] + options + ["-Command", LOADER])
        environment = self._compute_environment_string()
        lines = [script] if pin is None else [script, pin]
        done = self._low_level_execute_command(
            ("%s %s" % (environment, command)).strip(),
            in_data=b"".join(base64.b64encode(to_bytes(line)) + b"\n" for line in lines),
        )
        result.update(self._read(engine, is_pwsh, done))
        return result

    def _arguments(self):
        arguments = self._task.args
        name = to_text(arguments.get("name") or "")
        # It is not quoted in the script.
        if not all(part.isalnum() for part in name.split("-")) or "-" not in name or not name.isascii():
            raise AnsibleActionFail("name has to be a cmdlet's, such as Install-P11KitServer, and is '%s'." % name)
        parameters = arguments.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise AnsibleActionFail("parameters has to be a dictionary: the cmdlet's parameters by name, without the '-'.")
        if any(str(key).lower() == "pin" for key in parameters):
            raise AnsibleActionFail("A PIN goes into the task's own 'pin', not into its parameters.")
        for key, value in parameters.items():
            # What was written is not known any more: 0660 has become 432, which is a mode as well, of a socket that is open to everybody.
            if str(key).lower().endswith("mode") and isinstance(value, (int, float)):
                raise AnsibleActionFail(
                    "%s is the number %s, and YAML makes another one of what begins with 0. Quote it, as in %s: '0660'." % (key, value, key)
                )
        pin = arguments.get("pin")
        return name, parameters, None if pin in (None, "") else to_text(pin), to_text(arguments.get("engine") or ENGINE)

    def _read(self, engine, is_pwsh, done):
        """What Ansible is told of what a run wrote."""
        try:
            # In pwsh -WhatIf shows its plan on standard output, before the line of JSON.
            objects = json.loads(done["stdout"].rstrip().rsplit("\n", 1)[-1] if is_pwsh else done["stdout"])
        except ValueError:
            objects = None
        if done["rc"] != 0 or not isinstance(objects, list):
            hint = " Install it there, with the role hsmremote.p11kit.p11_kit_server for example." if done["rc"] == 127 else ""
            reason = done["stderr"].strip() or done["stdout"].strip()
            return {"failed": True, "rc": done["rc"], "msg": "%s ended with status %s: %s%s" % (engine, done["rc"], reason, hint)}

        results = [item for item in objects if isinstance(item, dict)]
        objects = [item for item in objects if item not in results or not ("Problem" in item or "Failure" in item)]
        result = {"changed": any(item.get("Changed") is True for item in results), "objects": objects}
        warnings = [line[len("WARNING: "):] for line in done["stderr"].splitlines() if line.startswith("WARNING: ")]
        warnings += [item["Problem"] for item in results if "Problem" in item]
        if warnings:
            result["warnings"] = warnings
        changes = [change for item in results for change in item.get("Changes") or []]
        if changes:
            result["changes"] = [change["Description"] for change in changes]
            if self._task.diff:
                result["diff"] = [{"prepared": self._difference(changes)}]
        failures = [item["Failure"] for item in results if "Failure" in item] + [
            "%s: %s: %s %s" % (item.get("SocketPath"), item.get("Cause"), item.get("Explanation") or "", item.get("Remedy") or "")
            for item in results
            if item.get("Succeeded") is False
        ]
        if failures:
            result.update(failed=True, msg="\n".join(failures))
        return result

    @staticmethod
    def _difference(changes):
        return "".join("%s\n%s" % (change["Description"], "%s\n" % change["Difference"] if change.get("Difference") else "") for change in changes)
