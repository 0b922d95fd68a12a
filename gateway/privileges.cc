#include "gateway/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace starling {
namespace {

absl::Status Failed(const char* what) {
  return absl::InternalError(absl::StrCat("cannot ", what, ": ", std::strerror(errno)));
}

// Containers may have dropped it for root too; ports above 1023 do without.
bool HasBindService() {
  cap_t caps = cap_get_proc();
  if (caps == nullptr) return false;
  cap_flag_value_t permitted = CAP_CLEAR;
  const bool known = cap_get_flag(caps, CAP_NET_BIND_SERVICE, CAP_PERMITTED, &permitted) == 0;
  cap_free(caps);
  return known && permitted == CAP_SET;
}

absl::Status KeepOnlyBindService() {
  const cap_flag_value_t value = HasBindService() ? CAP_SET : CAP_CLEAR;
  cap_t caps = cap_init();
  if (caps == nullptr) return Failed("create a capability set");
  const cap_value_t wanted[] = {CAP_NET_BIND_SERVICE};
  const bool ok = cap_set_flag(caps, CAP_PERMITTED, 1, wanted, value) == 0 &&
                  cap_set_flag(caps, CAP_EFFECTIVE, 1, wanted, value) == 0 &&
                  cap_set_proc(caps) == 0;
  cap_free(caps);
  return ok ? absl::OkStatus() : Failed("keep CAP_NET_BIND_SERVICE");
}

}  // namespace

absl::Status ChangeUser(const std::string& user, const std::string& group) {
  if (user.empty()) return absl::OkStatus();
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) return absl::NotFoundError(absl::StrCat("user ", user, " does not exist"));
  const uid_t uid = entry->pw_uid;
  gid_t gid = entry->pw_gid;
  if (!group.empty()) {
    const struct group* found = getgrnam(group.c_str());
    if (found == nullptr) {
      return absl::NotFoundError(absl::StrCat("group ", group, " does not exist"));
    }
    gid = found->gr_gid;
  }
  if (uid == geteuid() && gid == getegid()) return absl::OkStatus();
  if (geteuid() != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot become ", user, ": start as root, or as ", user, " itself"));
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return Failed("keep capabilities");
  // Groups of the user beyond its own (ssl-cert, postdrop) give it its keys and
  // the backends' sockets.
  if (initgroups(user.c_str(), gid) != 0) return Failed("set the groups");
  if (setresgid(gid, gid, gid) != 0) return Failed("change the group");
  if (setresuid(uid, uid, uid) != 0) return Failed("change the user");
  return KeepOnlyBindService();
}

absl::Status Harden() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failed("set no_new_privs");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Failed("switch core dumps off");
  return absl::OkStatus();
}

}  // namespace starling
