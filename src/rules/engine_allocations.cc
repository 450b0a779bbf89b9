#include "rules/engine_allocations.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <string_view>

namespace signalbox::rules {
namespace {

constexpr std::string_view kLibrary = "libmozjs-";
constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();
thread_local size_t thread_bytes_max = kUnlimited;

bool IsTooMuch(size_t bytes) {
  if (bytes <= thread_bytes_max) return false;
  errno = ENOMEM;
  return true;
}

void* LimitedMalloc(size_t bytes) { return IsTooMuch(bytes) ? nullptr : malloc(bytes); }
void* LimitedRealloc(void* old, size_t bytes) { return IsTooMuch(bytes) ? nullptr : realloc(old, bytes); }
void* LimitedCalloc(size_t count, size_t bytes) {
  size_t total = 0;
  if (__builtin_mul_overflow(count, bytes, &total)) total = kUnlimited;
  return IsTooMuch(total) ? nullptr : calloc(count, bytes);
}

// What the library's reference to `symbol` is to be led to; 0: it stays as it is.
uintptr_t Replacement(std::string_view symbol) {
  if (symbol == "malloc") return reinterpret_cast<uintptr_t>(&LimitedMalloc);
  if (symbol == "calloc") return reinterpret_cast<uintptr_t>(&LimitedCalloc);
  if (symbol == "realloc") return reinterpret_cast<uintptr_t>(&LimitedRealloc);
  return 0;
}
constexpr int kReplacements = 3;

// The loader speaks of addresses as numbers.
template <typename T>
T* At(uintptr_t address) {
  return reinterpret_cast<T*>(address);  // NOLINT(performance-no-int-to-ptr)
}

// A loaded library's tables of references (System V ABI, "Dynamic Linking").
struct References {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  std::span<const ElfW(Rela)> tables[2];
  // The loader leaves this part read-only.
  uintptr_t sealed_begin = 0;
  uintptr_t sealed_end = 0;
};

References ReadReferences(const dl_phdr_info& library) {
  References references;
  const ElfW(Dyn)* entry = nullptr;
  for (int i = 0; i < library.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = library.dlpi_phdr[i];
    const uintptr_t begin = library.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_DYNAMIC) entry = At<const ElfW(Dyn)>(begin);
    if (segment.p_type != PT_GNU_RELRO) continue;
    references.sealed_begin = begin;
    references.sealed_end = begin + segment.p_memsz;
  }
  const ElfW(Rela) * first[2] = {nullptr, nullptr};
  size_t bytes[2] = {0, 0};
  for (; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
    const uintptr_t address = entry->d_un.d_ptr;
    if (entry->d_tag == DT_SYMTAB) references.symbols = At<const ElfW(Sym)>(address);
    if (entry->d_tag == DT_STRTAB) references.names = At<const char>(address);
    if (entry->d_tag == DT_RELA) first[0] = At<const ElfW(Rela)>(address);
    if (entry->d_tag == DT_RELASZ) bytes[0] = entry->d_un.d_val;
    if (entry->d_tag == DT_JMPREL) first[1] = At<const ElfW(Rela)>(address);
    if (entry->d_tag == DT_PLTRELSZ) bytes[1] = entry->d_un.d_val;
  }
  for (int i = 0; i < 2; ++i) references.tables[i] = {first[i], bytes[i] / sizeof(ElfW(Rela))};
  return references;
}

bool IsAddressOfSymbol(const ElfW(Rela) & entry) {
#if defined(__x86_64__)
  const auto type = ELF64_R_TYPE(entry.r_info);
  return type == R_X86_64_GLOB_DAT || type == R_X86_64_JUMP_SLOT;
#elif defined(__aarch64__)
  const auto type = ELF64_R_TYPE(entry.r_info);
  return type == R_AARCH64_GLOB_DAT || type == R_AARCH64_JUMP_SLOT;
#else
  return false;
#endif
}

bool Write(const References& references, uintptr_t address, uintptr_t target) {
  const auto page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  void* page = At<void>(address & ~(page_bytes - 1));
  const bool is_sealed = address >= references.sealed_begin && address < references.sealed_end;
  if (is_sealed && mprotect(page, page_bytes, PROT_READ | PROT_WRITE) != 0) return false;
  *At<uintptr_t>(address) = target;
  return !is_sealed || mprotect(page, page_bytes, PROT_READ) == 0;
}

// Returns 1 at the library, which ends the walk over all of them.
int LeadThroughLimits(dl_phdr_info* library, size_t, void* replaced) {
  if (std::string_view(library->dlpi_name).find(kLibrary) == std::string_view::npos) return 0;
  const References references = ReadReferences(*library);
  if (references.symbols == nullptr || references.names == nullptr) return 1;
  for (const auto& table : references.tables) {
    for (const ElfW(Rela) & entry : table) {
      if (!IsAddressOfSymbol(entry)) continue;
      const uintptr_t target = Replacement(references.names + references.symbols[ELF64_R_SYM(entry.r_info)].st_name);
      if (target != 0 && Write(references, library->dlpi_addr + entry.r_offset, target)) ++*static_cast<int*>(replaced);
    }
  }
  return 1;
}

}  // namespace

absl::Status LimitEngineAllocations() {
  int replaced = 0;
  dl_iterate_phdr(LeadThroughLimits, &replaced);
  if (replaced >= kReplacements) return absl::OkStatus();
  return absl::InternalError(
      "the memory of the JavaScript engine cannot be limited: its library has another form than "
      "expected");
}

AllocationLimit::AllocationLimit(size_t bytes_max) { thread_bytes_max = bytes_max; }
AllocationLimit::~AllocationLimit() { thread_bytes_max = kUnlimited; }

}  // namespace signalbox::rules
