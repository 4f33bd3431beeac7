/*
 * A sandbox: to be preloaded. The system traps getsockname() by SIGSYS, and
 * the handler of that answers in its place that it is not allowed.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

static void answer(int number, siginfo_t *info, void *data) {
  ucontext_t *context = data;
  (void)number, (void)info;
#ifdef __aarch64__
  context->uc_mcontext.regs[0] = (unsigned long)-EACCES;
#elif defined __i386__
  context->uc_mcontext.gregs[REG_EAX] = -EACCES;
#else
  context->uc_mcontext.gregs[REG_RAX] = -EACCES;
#endif
}

__attribute__((constructor)) static void forbid(void) {
  struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO};
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockname, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  sigaction(SIGSYS, &action, NULL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
