// libc10 (a 4-byte int) and Debian's libsentencepiece (a 32-byte absl::Flag) both export a global FLAGS_minloglevel.
// Where libc10 comes first in the lookup order, SentencePiece's initialiser writes 32 bytes over c10's 4, into a mutex,
// and the first TorchScript call hangs. A definition in the executable comes before both. It must be an object file of
// each executable (not a member of a library) and in its dynamic symbol table.
extern "C" {
alignas(16) __attribute__((visibility("default"), used)) char FLAGS_minloglevel[64] = {};
}
