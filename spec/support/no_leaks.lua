-- The environment in which no detector looks for leaks: for programs that
-- fork, since it takes for lost what was the thread's, which a child has no
-- more.

return {
  ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0",
  VALGRIND_OPTS = (os.getenv "VALGRIND_OPTS" or "") .. " --leak-check=no",
}
