#!/usr/bin/env bash
# What Bazel stamps the program with (--workspace_status_command): the commit that it is built
# from. Without Git, or outside of a repository, the commit is unknown. Never fails, since
# Bazel would stop.
set -u

commit=$(git rev-parse --short=12 HEAD 2>/dev/null) || commit=unknown
if [ "$commit" != unknown ] && ! git diff --quiet HEAD 2>/dev/null; then
  commit+=-modified
fi
printf 'STABLE_STARLING_COMMIT %s\n' "$commit"
