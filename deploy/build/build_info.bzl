"""The commit and the flags of this build, as C++ source.

Only the target that compiles the source depends on the commit, so that another commit
rebuilds that and links the program anew, and all else comes from the cache."""

def _build_info(ctx):
    source = ctx.actions.declare_file(ctx.label.name + ".cc")
    flags = ["-c", ctx.var["COMPILATION_MODE"]] + ctx.fragments.cpp.copts
    ctx.actions.run_shell(
        inputs = [ctx.info_file],
        outputs = [source],
        arguments = [ctx.info_file.path, source.path, " ".join(flags)],
        command = """
commit=$(sed -n 's/^STABLE_STARLING_COMMIT //p' "$1")
{
  printf '#include "gateway/build_info.h"\n\nnamespace starling {\n\n'
  printf 'const char* BuildCommit() { return "%s"; }\n' "${commit:-unknown}"
  printf 'const char* BuildFlags() { return R"(%s)"; }\n' "$3"
  printf '\n}  // namespace starling\n'
} >"$2"
""",
    )
    return [DefaultInfo(files = depset([source]))]

build_info = rule(implementation = _build_info, fragments = ["cpp"])
