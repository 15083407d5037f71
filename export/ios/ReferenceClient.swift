// The calls of export/android/reference_client.py, in the same order. Not run by this project's
// tests, which have no Apple machine.

import Foundation
import TensorFlowLite

/// What can be put right, in one sentence.
struct UserError: Error {
    let sentence: String
}

/// The JSON object that a recogniser's file holds about itself.
struct Metadata: Decodable {
    struct Vocabulary: Decodable {
        let pieces: [String]
    }

    let format: Int
    let sample_rate: Int
    let block_samples: Int
    let vocabulary: Vocabulary
    let delegate: String

    /// Reads the entry "int4_conformer" of the file's metadata table.
    init(content: Data) throws {
        let file = FlatBuffer(content: content)
        guard content.count > 8, content[4..<8].elementsEqual("TFL3".utf8) else {
            throw UserError(sentence: "This is no TFLite model; give a .tflite file.")
        }
        let model = file.root
        let buffers = file.tables(of: model, field: 4)
        for entry in file.tables(of: model, field: 6) where file.bytes(of: entry, field: 0) == Data("int4_conformer".utf8) {
            let buffer = buffers[file.number(of: entry, field: 1)]
            let offset = file.long(of: buffer, field: 1)
            // Large files hold their buffers behind the flatbuffer.
            let json = offset > 1
                ? content.subdata(in: offset..<offset + file.long(of: buffer, field: 2))
                : file.bytes(of: buffer, field: 0) ?? Data()
            self = try JSONDecoder().decode(Metadata.self, from: json)
            return
        }
        throw UserError(sentence: "This TFLite model is no recogniser of int4-conformer.")
    }
}

/// Tables of a flatbuffer; fields are named by their number in the schema.
struct FlatBuffer {
    let content: Data

    var root: Int { int32(at: 0) }

    func number(of table: Int, field: Int) -> Int { place(of: table, field: field).map(int32) ?? 0 }

    func long(of table: Int, field: Int) -> Int {
        place(of: table, field: field).map { Int(read(Int64.self, at: $0)) } ?? 0
    }

    func bytes(of table: Int, field: Int) -> Data? {
        vector(of: table, field: field).map { content.subdata(in: $0 + 4..<$0 + 4 + int32(at: $0)) }
    }

    func tables(of table: Int, field: Int) -> [Int] {
        guard let vector = vector(of: table, field: field) else { return [] }
        return (0..<int32(at: vector)).map { index in
            let place = vector + 4 + 4 * index
            return place + int32(at: place)
        }
    }

    private func vector(of table: Int, field: Int) -> Int? {
        place(of: table, field: field).map { $0 + int32(at: $0) }
    }

    private func place(of table: Int, field: Int) -> Int? {
        let fields = table - int32(at: table)
        let entry = 4 + 2 * field
        guard entry < Int(read(UInt16.self, at: fields)) else { return nil }
        let offset = Int(read(UInt16.self, at: fields + entry))
        return offset == 0 ? nil : table + offset
    }

    private func int32(at place: Int) -> Int { Int(read(Int32.self, at: place)) }

    private func read<Number: FixedWidthInteger>(_: Number.Type, at place: Int) -> Number {
        Number(littleEndian: content.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: Number.self) })
    }
}

/// A signature that hears a stream segment by segment, and its state, which begins as zeros.
final class Pass {
    let segment: Int
    /// Numbers of a sample, 1, or of a frame.
    let width: Int
    private let given: String
    private let runner: SignatureRunner
    private var state: [String: Data] = [:]
    private var waiting: [Float] = []

    init(interpreter: Interpreter, signature: String, given: String) throws {
        runner = try interpreter.signatureRunner(with: signature)
        try runner.allocateTensors()
        self.given = given
        let shape = try runner.input(named: given).shape.dimensions
        segment = shape[1]
        width = shape.dropFirst(2).reduce(1, *)
        for name in runner.inputs where name != given && name != "length" {
            // Every number of a state has four bytes.
            let size = try runner.input(named: name).shape.dimensions.reduce(4, *)
            state[name] = Data(count: size)
        }
    }

    /// Hears values, and tells of each segment that has become whole, and of the rest if it is the last.
    func hear(_ values: [Float], last: Bool, tell: (Pass) throws -> Void) throws {
        waiting += values
        while waiting.count >= segment * width {
            try step(Array(waiting.prefix(segment * width)))
            waiting.removeFirst(segment * width)
            try tell(self)
        }
        if last {
            // A stream ends with a segment that is not full, if one of padding alone.
            try step(waiting)
            waiting = []
            try tell(self)
        }
    }

    func floats(_ name: String) throws -> [Float] { try array(name) }

    func ints(_ name: String) throws -> [Int32] { try array(name) }

    private func step(_ values: [Float]) throws {
        let padded = values + [Float](repeating: 0, count: segment * width - values.count)
        try runner.copy(padded.withUnsafeBytes { Data($0) }, toInputNamed: given)
        let length = [Int32(values.count / width)]
        try runner.copy(length.withUnsafeBytes { Data($0) }, toInputNamed: "length")
        for (name, value) in state { try runner.copy(value, toInputNamed: name) }
        try runner.invoke()
        for name in state.keys { state[name] = try runner.output(named: name).data }
    }

    private func array<Number>(_ name: String) throws -> [Number] {
        try runner.output(named: name).data.withUnsafeBytes { Array($0.bindMemory(to: Number.self)) }
    }
}

/// Hears an utterance while it is spoken; for one thread at a time, and not the main one.
final class ReferenceClient {
    let metadata: Metadata
    private let interpreter: Interpreter
    private var passes: [Pass] = []
    private var tokens: [Int] = []
    private var heard = 0

    init(path: String) throws {
        metadata = try Metadata(content: Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped))
        var options = Interpreter.Options()
        options.threadCount = 2
        // A model runs on the kernels whose integers it was trained with.
        options.isXNNPackEnabled = metadata.delegate == "xnnpack"
        interpreter = try Interpreter(modelPath: path, options: options)
        for (signature, given) in [("first_pass", "pcm"), ("second_pass", "encoded")]
        where interpreter.signatureKeys.contains(signature) {
            passes.append(try Pass(interpreter: interpreter, signature: signature, given: given))
        }
        if passes.isEmpty {
            throw UserError(sentence: "This model hears whole utterances only; train one that streams.")
        }
    }

    /// The words that are final after more samples, mono, in -1...1, at the model's rate.
    func feed(_ pcm: [Float]) throws -> String {
        heard += pcm.count
        try hear(0, pcm, last: false)
        return text
    }

    /// The words of the utterance at its end.
    func finish() throws -> String {
        let rest = heard % metadata.block_samples
        let missing = rest == 0 ? 0 : metadata.block_samples - rest
        try hear(0, [Float](repeating: 0, count: missing), last: true)
        return text
    }

    private var text: String {
        let spelled = tokens.map { metadata.vocabulary.pieces[$0] }.joined()
        return spelled.split(separator: "\u{2581}").joined(separator: " ")
    }

    private func hear(_ number: Int, _ values: [Float], last: Bool) throws {
        let isLastPass = number + 1 == passes.count
        try passes[number].hear(values, last: last) { pass in
            if isLastPass {
                let count = Int(try pass.ints("count")[0])
                tokens += try pass.ints("tokens").prefix(count).map { Int($0) }
            } else {
                let length = Int(try pass.ints("length")[0])
                let encoded = try pass.floats("encoded").prefix(length * passes[number + 1].width)
                try hear(number + 1, Array(encoded), last: false)
            }
        }
        if last && !isLastPass { try hear(number + 1, [], last: true) }
    }
}
