# ruff: noqa: E501 (tables of patterns: one question kind a line)
"""Phrasings of fact questions. ``train`` is used by the corpus, ``test`` only by the scores.

``{s}`` is the subject, ``{v}`` the value. The answer form is one sentence a relation and language.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """Train phrasings, held-out phrasings and the answer of one relation in one language."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    answer: str


ZH: dict[str, Relation] = {
    "capital": Relation(
        ("{s}的首都[是|在]哪[里|儿|]", "{s}的首都是[哪里|哪个城市|什么|什么城市|哪座城市]", "{s}首都", "{s}的首都[叫什么|叫什么名字|]", "[哪个|哪座|什么]城市是{s}的首都", "首都：{s}", "[说出|告诉我|写出|查一下]{s}的首都", "{s}定都[哪里|在哪里|何处]", "{s}的[政府所在地|首府]是哪[里|座城市]", "你知道{s}的首都[吗|是哪里吗]", "[去|到]{s}的首都[应该|]去哪个城市", "{s}这个国家的首都是[哪里|哪儿]"),
        ("请问哪里是{s}的首都", "{s}把首都设在什么地方", "考考你，{s}首都叫啥", "我忘了{s}首都是哪座城市来着"),
        "{s}的首都是{v}。"),
    "symbol": Relation(
        ("{s}的[化学|元素|]符号[是什么|是|怎么写|]", "{s}元素的符号[是什么|怎么写|]", "[写出|说出|告诉我]{s}的[元素|化学]符号", "化学里{s}[怎么|如何|用什么字母]表示", "元素{s}用什么[符号|字母]表示", "{s}在[元素|]周期表[里|中]的符号[是什么|是]", "{s}的化学元素符号", "什么[符号|字母][表示|代表]{s}元素", "{s}[这种|这个]元素[怎么写|的符号]", "符号：{s}", "化学符号[：|，]{s}"),
        ("请问{s}这种元素的化学符号写作什么", "化学课上{s}用哪个字母代表", "{s}对应的元素符号是啥", "帮我写一下{s}的符号"),
        "{s}的化学符号是{v}。"),
    "product": Relation(
        ("{s}是[谁|哪家公司|哪个公司][开发|做|推出|研发|制造|出品|生产]的", "谁[开发|做|推出|研发|创造|制造][了|的]{s}", "[哪家|哪个|什么]公司[开发|推出|做|拥有][了|的|]{s}", "{s}的[开发商|开发者|公司|厂商|制造商|出品方]是[谁|哪家|什么|哪家公司]", "{s}[属于|来自|出自][哪家|哪个]公司", "{s}是哪家[公司|企业|厂商][的|的产品]", "{s}背后的公司是[谁|哪家]", "[告诉我|说说]{s}是[谁|哪家公司]的", "开发{s}的[是谁|公司是哪家|是哪家公司]", "{s}是谁家的[产品|]", "你知道{s}是[谁|哪家公司][做|开发]的吗", "{s}由[谁|哪家公司][开发|推出|研发]"),
        ("请问{s}这个产品归哪家企业所有", "是哪家企业把{s}做出来的", "{s}的东家是谁", "想了解一下，{s}是哪个公司研发出来的"),
        "{s}是{v}开发的。"),
    "author": Relation(
        ("《{s}》[的作者|作者]是[谁|哪位|哪个人]", "《{s}》是谁[写|创作|著]的", "谁[写|创作]了《{s}》", "{s}[这本书|]是谁写的", "《{s}》的作者", "[哪位|哪个]作家[写|创作]了《{s}》", "[告诉我|说出|说说]《{s}》的作者", "你知道《{s}》[是谁写的|的作者|的作者是谁]吗", "[写|著]《{s}》的人是谁", "{s}的作者[是谁|是哪位|叫什么]", "《{s}》出自[谁|何人|哪位作家]之手", "《{s}》是[哪位|哪个]作家的作品"),
        ("请问是哪位作者写下了《{s}》", "《{s}》这部作品由何人所写", "《{s}》作者叫啥名字", "读《{s}》时想知道它是谁创作的"),
        "《{s}》的作者是{v}。"),
    "inventor": Relation(
        ("谁[发明|发现|提出|创造]了{s}", "{s}是[谁|什么人|哪位科学家|何人][发明|发现|提出|创造]的", "{s}的[发明者|发明人|发现者|提出者|创造者]是谁", "[哪位|哪个]科学家[发明|发现|提出|创造]了{s}", "[告诉我|说说]谁[发明|发现|提出]了{s}", "是谁[最早|首先|][发明|发现|提出|创造][了|出]{s}", "{s}由谁[发明|发现|提出|创造]", "你知道{s}是谁[发明|发现|提出]的吗", "[发明|发现|提出]{s}的[人是谁|是谁|科学家是谁]", "{s}的[发明者|发现者|提出者]", "{s}归功于谁", "{s}[出自|来自]谁的[发明|研究|发现]"),
        ("请问{s}这一成果是由哪个人做出的", "是什么人发明或发现了{s}", "{s}该记在哪位科学家名下", "考考你，{s}是谁发明的呀"),
        "{s}归功于{v}。"),
    "class": Relation(
        ("{s}是[什么|哪类|哪种|哪一类]动物", "{s}属于[哪类|什么|哪一类|哪种][动物|]", "{s}[是|属于]哪[一|]类[的|]动物", "[动物分类中|分类上][，|]{s}[是什么|属于哪类]", "{s}的[动物|]分类[是什么|]", "{s}算[什么|哪类|哪种]动物", "{s}[在动物中|]属于什么类别", "[告诉我|说说]{s}属于哪类动物", "你知道{s}[是什么动物|属于哪一类]吗", "{s}是哺乳动物、鸟类、鱼类还是别的", "{s}的类别[是|]", "把{s}归类[：|，]它是什么动物"),
        ("请问{s}归在动物的哪个大类里", "从分类来讲，{s}应算作什么动物", "生物课上{s}属于哪个类", "{s}到底是啥动物"),
        "{s}是{v}。"),
    "continent": Relation(
        ("{s}在[哪个|哪一个|哪|什么]洲", "{s}[位于|属于|处在|地处][哪个洲|哪一洲|哪个大洲|哪个大陆|什么洲]", "{s}是[哪个|哪一|什么]洲的[国家|]", "[哪个|哪一个]洲有{s}", "{s}这个国家在哪个洲", "[告诉我|说说]{s}[在|属于]哪个洲", "{s}的[所在|]大洲[是|是哪个|]", "你知道{s}在哪个洲吗", "{s}是亚洲国家还是[非洲|欧洲|别的洲的]国家", "世界地图上{s}在哪个洲", "{s}坐落在哪个洲", "去{s}[就是|]到了哪个洲"),
        ("请问{s}处于哪一个大洲之上", "{s}这地方算哪个洲", "地理题：{s}属哪个大洲", "在哪个洲可以找到{s}"),
        "{s}在{v}。"),
    "department": Relation(
        ("{s}[应该|该|要|需要|][挂|看|去]什么科[室|]", "{s}[应该|该|要|]挂[哪个|哪|什么]科[室|]", "{s}[去|到|看]哪个[科|科室]", "我{s}[，|了，|][挂|看|去][什么|哪个]科", "{s}[去医院|到医院|就诊]挂[什么|哪个]号", "[出现|有]{s}[看|挂|去][什么|哪个]科", "{s}看什么[医生|科的医生|大夫]", "{s}属于[哪个|什么]科[室|]", "{s}怎么挂号", "[病人|患者]{s}[应|该]去[哪个|什么]科[室|]", "[最近|今天|这几天]{s}，[挂|看][什么|哪个]科", "[朋友|家人|妈妈]{s}[该|要|应该]看[什么|哪个]科"),
        ("请问{s}的话要去医院的什么科室就诊", "{s}找哪一科的大夫合适", "身体不舒服，{s}，应挂何科", "得了{s}应当去看哪个科"),
        "{s}可以挂{v}。"),
    "antonym": Relation(
        ("{s}的反义词[是什么|是|]", "[写出|说出|给出|告诉我]{s}的反义词", "“{s}”的反义词[是什么|是|]", "反义词：{s}", "{s}的[相反|反面]是[什么|]", "与{s}[意思|][相反|相对]的词[是什么|是|]", "[哪个|什么]词[和|与]{s}[意思|]相反", "{s}反过来[是什么|怎么说]", "和“{s}”相反的[是什么|词]", "“{s}”的对立面是[什么|]", "{s}的反义[是|词]", "找一个{s}的反义词"),
        ("请问“{s}”对应的反义词是哪个", "语文题：{s}的反义词写什么", "跟{s}意思正好相反的是哪个词", "我想要{s}的反义词"),
        "“{s}”的反义词是“{v}”。"),
    "word_en": Relation(
        ("{s}[用|]英[语|文]怎么说", "{s}的英[语|文][是什么|怎么写|]", "把{s}[翻译成|译成|翻成]英[语|文]", "“{s}”[用|]英[语|文]怎么[说|写|讲]", "翻译[成英语|成英文]：{s}", "{s}翻译成英[语|文][是什么|]", "英语里{s}怎么说", "[告诉我|说出|写出]{s}的英[语|文]", "{s}的英[语|文][单词|说法][是什么|]", "“{s}”的英[语|文]是[什么|]", "怎么用英[语|文]说{s}", "{s}对应的英[语|文][单词|]"),
        ("请问{s}这个词的英文该怎么表达", "英语中表示{s}的是哪个单词", "帮我译一下{s}，译为英文", "“{s}”翻译过去是啥英文"),
        "“{s}”的英语是{v}。"),
    "word_zh": Relation(
        ("{s}[是|]什么意思", "{s}的中文[是什么|意思|]", "把{s}[翻译成|译成]中文", "{s}[用|]中文怎么说", "[单词|英语单词]{s}[是|]什么意思", "翻译[成中文|]：{s}", "{s}翻译成中文[是什么|]", "英[语|文]{s}[是|]什么意思", "[告诉我|说出]{s}的中文[意思|]", "“{s}”[的|用]中文[怎么说|是什么|意思]", "{s}的汉语意思[是|]", "{s}这个[英语|英文|]单词[是什么意思|怎么翻译]"),
        ("请问英文单词{s}的中文含义为何", "{s}译为汉语是哪个词", "我不认识{s}这个词，它是啥意思", "帮我把{s}翻成汉语"),
        "{s}的中文是“{v}”。"),
}

EN: dict[str, Relation] = {
    "capital": Relation(
        ("[what is|what's|name|tell me|give me] the capital [city |]of {s}", "[which|what] city is the capital of {s}", "capital of {s}", "the capital of {s} is [what|which city|]", "what is the name of {s}'s capital", "[do you know|can you tell me] the capital of {s}", "which city [serves as|is] the capital [of|in] {s}", "what is {s}'s capital [city|]", "{s}: capital", "where is the government of {s} [located|seated]", "what's the capital city in {s}", "i need the capital of {s}", "what do you call the capital of {s}", "{s} has which [city as its |]capital"),
        ("could you remind me which city is capital of {s}", "if i visit the capital of {s}, which city am i in", "geography quiz: the capital of {s}", "{s}'s capital is called what"),
        "The capital of {s} is {v}."),
    "symbol": Relation(
        ("[what is|what's|give|write|tell me] the [chemical |element |]symbol [of|for] {s}", "chemical symbol of {s}", "[which|what] symbol [stands for|represents|denotes] {s}", "how is {s} written in [chemistry|the periodic table]", "what is {s}'s [chemical |]symbol", "symbol for [the element |]{s}", "in chemistry[,|] what is the symbol [of|for] {s}", "what letter or letters stand for {s}", "the element {s} has [which|what] symbol", "{s}: chemical symbol", "[do you know|can you tell me] the symbol [of|for] {s}", "what is the abbreviation [of|for] [the element |]{s}", "how do chemists write {s}"),
        ("on the periodic table, {s} appears as what", "which chemical symbol does {s} have", "chemistry quiz: the symbol of {s}", "could you write the element symbol that belongs to {s}"),
        "The chemical symbol of {s} is {v}."),
    "product": Relation(
        ("who [made|created|developed|makes|built|produced|invented|owns] {s}", "[which|what] company [made|created|developed|makes|built|owns|produces|is behind] {s}", "{s} [is|was] [made|created|developed|produced|built] by [whom|which company|who|what company]", "who is the [developer|maker|creator|producer|owner] of {s}", "[name|tell me] the [company behind|maker of|developer of] {s}", "who is behind {s}", "by whom was {s} [made|developed|created]", "what is the company behind {s}", "[do you know|can you tell me] who [made|developed|created] {s}", "{s} comes from which company", "{s} belongs to [whom|which company]", "the [maker|developer] of {s}", "{s} is a product of [whom|which company]", "whose product is {s}"),
        ("which firm is responsible for {s}", "i'd like to know what company came up with {s}", "quiz: the company that makes {s}", "could you say who is the maker of {s}"),
        "{s} was developed by {v}."),
    "author": Relation(
        ("who wrote {s}", "who is the [author|writer] of {s}", "{s} was written by [whom|who]", "[which|what] [author|writer] wrote {s}", "[name|tell me] the [author|writer] of {s}", "author of {s}", "by whom was {s} written", "who [is|was] the author of [the book |]{s}", "[do you know|can you tell me] who wrote {s}", "who penned {s}", "the book {s} was written by whom", "whose work is {s}", "{s}: author", "the [author|writer] of {s} is who"),
        ("which person is the writer behind {s}", "literature quiz: who authored {s}", "i am reading {s}; who wrote it", "could you say by which author {s} is"),
        "{s} was written by {v}."),
    "inventor": Relation(
        ("who [invented|discovered|created|developed|came up with|first made] {s}", "{s} was [invented|discovered|created] by [whom|who]", "who is the [inventor|discoverer|creator] of {s}", "which [person|scientist|inventor] [invented|discovered|created|gave us] {s}", "[name|tell me] the [inventor|discoverer|creator] of {s}", "by whom was {s} [invented|discovered|created]", "[do you know|can you tell me] who [invented|discovered|created] {s}", "the [inventor|discoverer|creator] of {s}", "who do we owe {s} to", "who gets credit for {s}", "whose [invention|discovery|work] is {s}", "{s}: inventor", "who was the first to [invent|discover|create] {s}"),
        ("to whom is {s} credited", "history quiz: the person behind {s}", "which scientist or inventor is known for {s}", "could you say who was responsible for {s}"),
        "{s} is credited to {v}."),
    "class": Relation(
        ("what [kind|type|sort|class] of animal is [a |the |]{s}", "is a {s} a mammal, a bird, a fish or something else", "[which|what] [class|group] does [a|the] {s} belong to", "what animal [class|group] is [a|the] {s} in", "a {s} is what [kind|type] of animal", "classify [the|a] {s}", "how [is|do you classify] a {s} [classified|]", "[tell me|say] what kind of animal a {s} is", "{s}: animal class", "[do you know|can you tell me] what kind of animal a {s} is", "to [which|what] class of animals does [the|a] {s} belong", "in biology, what is a {s}", "what is a {s}", "what sort of creature is a {s}"),
        ("which group of animals includes the {s}", "biology quiz: the class of the {s}", "would you call a {s} a fish, a bird or what", "a {s} counts as which kind of animal"),
        "The {s} is a kind of {v}."),
    "continent": Relation(
        ("[which|what] continent is {s} [in|on|part of]", "on [which|what] continent is {s}", "where is {s} [located|]", "{s} is in [which|what] continent", "[name|tell me] the continent of {s}", "{s} belongs to [which|what] continent", "[which|what] continent does {s} belong to", "in [which|what] continent [do you find|can i find|is] {s}", "[do you know|can you tell me] [which|what] continent {s} is in", "the continent of {s}", "{s}: continent", "is {s} in africa, asia, europe or somewhere else", "what part of the world is {s} in", "on [which|what] continent does {s} lie"),
        ("travelling to {s} means going to which continent", "geography quiz: the continent where {s} lies", "{s} is a country of which continent", "could you say on what continent {s} can be found"),
        "{s} is in {v}."),
    "department": Relation(
        ("[which|what] [department|doctor|hospital department] [should i see|should i visit|treats|handles|is for] {s}", "i have {s}[. which|, which|, what] department should i [go to|visit|see]", "where should i go [with|for] {s}", "which department for {s}", "{s}: which department", "what department [deals with|takes care of] {s}", "for {s}[,|] which [hospital |]department [is right|should i choose|do i need]", "my [friend|mother|father|brother] has {s}[.|,] [which|what] department", "who treats {s} [in a hospital|]", "[tell me|say] which department treats {s}", "what kind of doctor [treats|do i need for] {s}", "suffering from {s}, which department", "where in the hospital is {s} treated", "i'm worried about {s}; which department"),
        ("at the hospital, {s} should be taken to which department", "a patient comes with {s}; where do we send them", "because of {s} i want to see a doctor, which department then", "which part of a hospital is right when someone has {s}"),
        "For {s}, see {v}."),
    "antonym": Relation(
        ("[what is|what's|give|tell me|name|write] the [opposite|antonym] of [the word |]{s}", "opposite of {s}", "antonym of {s}", "[which|what] word is the opposite of {s}", "the opposite of {s} is [what|]", "what word means the opposite of {s}", "{s}: opposite", "[give|find] [me |]an antonym for {s}", "what is not {s} but the opposite", "[do you know|can you tell me] the [opposite|antonym] of {s}", "what is {s}'s [opposite|antonym]", "[which|what] is the contrary of {s}", "what would be the opposite of {s}"),
        ("if something is not {s} but the reverse, what is it", "language quiz: the antonym of {s}", "a word with a meaning opposite to {s}", "could you name the word contrary to {s}"),
        "The opposite of {s} is {v}."),
    "word_zh": Relation(
        ("how do [you|i|we] say {s} in Chinese", "[what is|what's] {s} in Chinese", "translate {s} [into|to] Chinese", "[what is|what's|give me|tell me] the Chinese [word |]for {s}", "{s} in Chinese", "Chinese for {s}", "the Chinese word for {s} [is|]", "translate [the word |]{s} [into|to] Chinese", "how is {s} [said|written] in Chinese", "{s}: Chinese translation", "what do [you|the Chinese] call {s} in Chinese", "[do you know|can you tell me] the Chinese [word |]for {s}", "say {s} in Chinese", "what does {s} translate to in Chinese"),
        ("which Chinese word means {s}", "language quiz: {s} in Mandarin Chinese", "could you give the translation of {s}, in Chinese", "i want to express {s} in Chinese"),
        "{s} in Chinese is {v}."),
    "word_en": Relation(
        ("what does {s} mean [in English|]", "[what is|what's] {s} in English", "translate {s} [into|to] English", "how do [you|i|we] say {s} in English", "[what is|what's|give me|tell me] the English [word |]for {s}", "{s} in English", "English for {s}", "[what is|what's] the meaning of {s}", "the English word for {s} [is|]", "{s}: English translation", "the Chinese word {s} means what", "[do you know|can you tell me] the English for {s}", "say {s} in English", "what is the English translation of {s}"),
        ("which English word means {s}", "language quiz: {s}, in English", "could you give the translation of {s}, in English", "i cannot read {s}; what is it in English"),
        "{s} in English is {v}."),
}
