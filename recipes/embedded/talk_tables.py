# ruff: noqa: E501 (tables: one exchange a line)
"""Small talk, refusals and lists: what is said and what is answered."""

NUM_ZH = "零一二三四五六七八九十"

SMALLTALK = {
    "zh": [
        (["你好", "您好", "嗨", "哈喽", "hi", "hello", "在吗", "你好呀", "你好啊", "您好呀", "嗨，你好", "哈喽你好"], "你好！有什么可以帮您？"),
        (["早上好", "早安", "早"], "早上好！今天想聊点什么？"), (["晚上好", "下午好", "中午好"], "您好！有什么可以帮您？"), (["晚安", "我要睡了", "去睡觉了"], "晚安，好梦！"),
        (["谢谢", "谢谢你", "多谢", "感谢", "非常感谢", "谢谢您的帮助", "太感谢了", "thanks", "谢啦"], "不客气！"), (["再见", "拜拜", "回头见", "下次聊", "我走了", "88"], "再见，祝您愉快！"),
        (["今天天气怎么样", "今天会下雨吗", "外面天气好吗", "明天天气如何"], "抱歉，我看不到实时的天气。"), (["现在几点", "几点了", "今天几号", "今天星期几"], "抱歉，我不知道现在的时间。"),
        (["我好累", "今天好累", "我很累啊", "累死了"], "辛苦了，好好休息一下吧。"), (["我很难过", "我心情不好", "我有点伤心", "好难过"], "别难过，愿意的话可以跟我说说。"), (["我好开心", "今天很高兴", "我很开心"], "真好，为您高兴！"),
        (["我好无聊", "无聊", "好无聊啊"], "可以读一本书，或者出去走走。"), (["你好吗", "你最近怎么样", "近来可好", "你还好吗"], "我很好，谢谢关心！"), (["好的", "明白了", "知道了", "嗯嗯", "ok", "懂了"], "好的，还有别的问题吗？"),
        (["讲个笑话", "说个笑话", "给我讲个笑话吧"], "为什么数学书很难过？因为它有太多的问题。"), (["你真棒", "你真聪明", "你好厉害", "说得好"], "谢谢夸奖！"), (["对不起", "抱歉", "不好意思"], "没关系！"), (["祝我生日快乐", "今天是我生日"], "生日快乐！"),
        (["怎么保持健康", "如何保持健康", "怎样才能健康"], "规律作息，均衡饮食，多运动。"), (["感冒了怎么办", "我感冒了", "感冒怎么办"], "多喝水，多休息，严重时请就医。"), (["怎么学好英语", "如何学英语", "学英语有什么方法"], "多听、多读、多说，每天坚持。"), (["失眠怎么办", "睡不着怎么办"], "睡前少看手机，保持规律作息。"), (["推荐一本书", "有什么好书"], "可以读一读《西游记》。"), (["写一句诗", "来一句古诗"], "床前明月光，疑是地上霜。"),
    ],
    "en": [
        (["hello", "hi", "hey", "hi there", "hello there", "greetings", "hey there", "good day", "hello!"], "Hello! How can I help you?"), (["good morning", "morning"], "Good morning! How can I help you today?"), (["good evening", "good afternoon"], "Good day! How can I help you?"), (["good night", "going to bed now"], "Good night, sleep well!"),
        (["thanks", "thank you", "thank you very much", "thanks a lot", "many thanks", "thx", "that helps, thanks", "i appreciate it"], "You're welcome!"), (["bye", "goodbye", "see you", "see you later", "good bye", "talk to you later"], "Goodbye, have a nice day!"), (["how is the weather", "what's the weather like today", "will it rain today"], "Sorry, I cannot see the weather."), (["what time is it", "what day is it today", "what's the date"], "Sorry, I don't know the current time."),
        (["i am tired", "i'm so tired", "what a long day"], "You have worked hard; take some rest."), (["i am sad", "i feel sad", "i'm unhappy"], "I'm sorry to hear that. Do you want to talk about it?"), (["i am happy", "i'm so happy today"], "That's wonderful!"), (["i'm bored", "i am bored"], "You could read a book or take a walk."), (["how are you", "how are you doing", "how do you do", "how's it going"], "I'm fine, thank you!"), (["ok", "okay", "i see", "got it", "understood"], "Good. Anything else?"),
        (["tell me a joke", "say something funny"], "Why was the math book sad? It had too many problems."), (["you are great", "you're smart", "well done", "good job"], "Thank you!"), (["sorry", "i apologize", "my bad"], "No problem!"), (["it's my birthday", "today is my birthday"], "Happy birthday!"), (["how do i stay healthy", "how can i stay healthy"], "Sleep well, eat well and exercise."), (["i have a cold", "what should i do about a cold"], "Drink water, rest, and see a doctor if it gets worse."), (["how can i learn Chinese", "how do i learn a language"], "Listen, read and speak a little every day."), (["i can't sleep", "how can i sleep better"], "Keep regular hours and avoid screens before bed."), (["recommend a book", "what should i read"], "You could read The Little Prince."),
    ],
}
HARM = {
    "zh": (["怎么[制造|做|造]炸弹", "[教|告诉]我[偷东西|盗号|入侵别人的电脑|制毒]", "怎么[毒死|伤害|报复]别人", "帮我[写诈骗短信|伪造证件|破解密码]", "如何[骗钱|偷车|下毒]"], "抱歉，这个我不能帮忙。"),
    "en": (["how [do i|to] [make a bomb|poison someone|steal a car|hack a bank|hurt someone]", "help me [steal|cheat people|forge a passport|hack my neighbor|scam people]", "teach me to [make drugs|pick locks to rob a house|kill]"], "Sorry, I can't help with that."),
}
LISTS = {
    "zh": [("水果", "苹果、香蕉、葡萄、西瓜、桃子"), ("动物", "老虎、大象、兔子、猴子、熊猫"), ("颜色", "红色、蓝色、绿色、黄色、白色"), ("国家", "中国、法国、日本、巴西、埃及"), ("蔬菜", "白菜、萝卜、土豆、茄子、黄瓜"), ("运动", "跑步、游泳、足球、篮球、网球"), ("城市", "北京、上海、广州、成都、西安"), ("乐器", "钢琴、小提琴、吉他、笛子、鼓"), ("职业", "医生、老师、工人、农民、警察")],
    "en": [("fruits", "apple, banana, grape, melon, peach"), ("animals", "tiger, elephant, rabbit, monkey, panda"), ("colors", "red, blue, green, yellow, white"), ("countries", "China, France, Japan, Brazil, Egypt"), ("vegetables", "cabbage, carrot, potato, onion, cucumber"), ("sports", "running, swimming, football, tennis, golf"), ("cities", "Paris, London, Tokyo, Rome, Cairo"), ("instruments", "piano, violin, guitar, flute, drum"), ("jobs", "doctor, teacher, farmer, driver, cook")],
}
