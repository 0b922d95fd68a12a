// Runs a fuzz target without libFuzzer: every file of the corpus, then inputs
// made from them (or from nothing) by a fixed sequence of random changes. The
// same binary does the same every time, so it can stand among the tests.
//
//     some_fuzz [FILE]...
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

constexpr int kRounds = 4'000;
constexpr int kMaxChanges = 8;
constexpr size_t kMaxInput = 4'096;
constexpr size_t kMaxRepeat = 64;

bool ReadFile(const char* path, Input& out) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  out.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return true;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Input>& seeds) : seeds_(seeds) {}

  Input Next() {
    Input input = seeds_[Below(seeds_.size())];
    int changes = 1 + static_cast<int>(Below(kMaxChanges));
    for (int i = 0; i < changes; ++i) Change(input);
    if (input.size() > kMaxInput) input.resize(kMaxInput);
    return input;
  }

 private:
  size_t Below(size_t n) { return n == 0 ? 0 : static_cast<size_t>(random_() % n); }

  void Change(Input& input) {
    size_t at = Below(input.size() + 1);
    auto position = input.begin() + static_cast<std::ptrdiff_t>(at);
    switch (Below(6)) {
      case 0:  // one octet is another
        if (at < input.size()) input[at] = static_cast<uint8_t>(random_());
        break;
      case 1:  // one bit is
        if (at < input.size()) input[at] ^= static_cast<uint8_t>(1u << Below(8));
        break;
      case 2:  // some octets are gone
        input.erase(position, position + static_cast<std::ptrdiff_t>(Below(input.size() - at + 1)));
        break;
      case 3:  // an octet comes many times
        input.insert(position, Below(kMaxRepeat), static_cast<uint8_t>(random_()));
        break;
      case 4: {  // an octet that parsers care for
        static constexpr uint8_t kTelling[] = {'\r', '\n', '\0', ' ', '{', '}', '"', '.', 0x16};
        input.insert(position, kTelling[Below(std::size(kTelling))]);
        break;
      }
      default: {  // a part of another input
        const Input& other = seeds_[Below(seeds_.size())];
        size_t begin = Below(other.size() + 1);
        size_t length = Below(other.size() - begin + 1);
        Input part(other.begin() + static_cast<std::ptrdiff_t>(begin),
                   other.begin() + static_cast<std::ptrdiff_t>(begin + length));
        input.insert(position, part.begin(), part.end());
        break;
      }
    }
  }

  const std::vector<Input>& seeds_;
  std::mt19937_64 random_{20250101};  // std:: fixes its sequence, unlike the distributions'
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths(argv + 1, argv + argc);
  std::sort(paths.begin(), paths.end());
  std::vector<Input> seeds;
  for (const std::string& path : paths) {
    Input input;
    if (!ReadFile(path.c_str(), input)) {
      std::fprintf(stderr, "cannot read %s\n", path.c_str());
      return 1;
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
    seeds.push_back(std::move(input));
  }
  seeds.emplace_back();
  Mutator mutator(seeds);
  for (int i = 0; i < kRounds; ++i) {
    Input input = mutator.Next();
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu inputs of the corpus and %d made from them\n", paths.size(), kRounds);
  return 0;
}
